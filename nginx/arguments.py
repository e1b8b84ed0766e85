"""The command line of build.py. Every value from outside is checked on its way in."""

import argparse
import ipaddress
import re


def port(text: str) -> str:
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535.")
    return text


def host_and_port(text: str) -> str:
    host, _, number = text.rpartition(":")
    if not re.fullmatch(r"\w[\w.-]*|\[[0-9a-fA-F:.]+\]", host):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT.")
    return f"{host}:{port(number)}"


def server_address(text: str) -> str:
    if text.startswith("unix:"):
        return f"unix:{directory(text.removeprefix('unix:'))}"
    return host_and_port(text)


def listening(text: str) -> str:
    return host_and_port(text) if ":" in text else port(text)


def directory(text: str) -> str:
    if not re.fullmatch(r"(/[\w.@+-]+)+/?", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an absolute path of letters, digits and . _ - + @ only."
        )
    return text.rstrip("/")


def network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}.") from None


def name_server(text: str) -> str | None:
    try:
        return None if text == "none" else str(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}.") from None


def account(text: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a user.")
    return text


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Print nginx.conf.")
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--check", action="store_true", help="fail if nginx.conf is old"
    )
    action.add_argument("--write", action="store_true", help="rewrite nginx.conf")
    option = parser.add_argument
    option("--listen", type=listening, default="8080", metavar="[HOST:]PORT")
    option(
        "--upstream",
        type=server_address,
        default="ui:8000",
        metavar="HOST:PORT|unix:PATH",
    )
    option(
        "--resolver",
        type=name_server,
        default="127.0.0.11",
        metavar="ADDRESS|none",
        help="name server that is asked for HOST each second (default: Docker's), or "
        "none where its address stays",
    )
    option(
        "--certificate",
        type=directory,
        metavar="DIR",
        help="serve TLS with fullchain.pem and privkey.pem in this folder",
    )
    option("--run-dir", type=directory, default="/tmp", metavar="DIR")
    option(
        "--trust",
        type=network,
        default=[],
        action="append",
        metavar="CIDR",
        help="proxies in front of this one; may be repeated",
    )
    option(
        "--metrics-from",
        type=network,
        default=[],
        action="append",
        metavar="CIDR",
        help="who may read /metrics; this machine if not given; may be repeated",
    )
    option(
        "--hosts",
        metavar="NAME,...",
        help="check Host and Origin here too: this machine's names and these",
    )
    option("--cors", default="", metavar="ORIGIN,...", help="origins that may call")
    option("--user", type=account, help="whom the workers run as, if started by root")
    return parser.parse_args()
