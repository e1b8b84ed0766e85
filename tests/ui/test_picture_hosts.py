"""Which addresses of pictures may be opened."""

from __future__ import annotations

import ipaddress

import pytest

from edge.errors import EdgeError, InvalidPicture, SetupError, UrlNotAllowed
from ui.picture_hosts import LONGEST_URL, PictureHosts, is_link

HOSTS = PictureHosts("Images.example.org, nas.lan:8000,192.168.1.0/24, [2001:db8::1]")


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://images.example.org/a.png", "https://images.example.org/a.png"),
        ("HTTP://IMAGES.example.org.", "http://images.example.org/"),
        (" https://images.example.org:443/a\t", "https://images.example.org/a"),
        ("https://images.example.org/猫?a=b", "/猫?a=b"),
        ("https://images.example.org/a%20b?c=%2F#part", "/a%20b?c=%2F"),
        ("http://nas.lan:8000/x//../y", "http://nas.lan:8000/x//../y"),
        ("https://[2001:DB8:0::1]/x", "https://[2001:db8::1]/x"),
    ],
)
def test_what_a_listed_address_leads_to(url: str, link: str) -> None:
    found = str(HOSTS.link(url))
    assert found.isascii()
    assert found.endswith(link.replace("猫", "%E7%8C%AB"))


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://example.org/a.png", UrlNotAllowed),
        ("https://evil.images.example.org/", UrlNotAllowed),
        ("https://images.example.org.evil.com/", UrlNotAllowed),
        ("https://images.example.org:8443/", UrlNotAllowed),
        ("http://images.example.org:443/", UrlNotAllowed),
        ("https://images.example.org:0/", UrlNotAllowed),
        ("http://nas.lan/", UrlNotAllowed),
        ("http://192.168.1.7/", UrlNotAllowed),  # a network lists no host
        ("https://me@images.example.org/", UrlNotAllowed),
        ("https://images.example.org:a@evil.com/", UrlNotAllowed),
        ("https://images.example.org@evil.com/", UrlNotAllowed),
        ("https://evil.com#@images.example.org/", UrlNotAllowed),
        ("https://evil.com?@images.example.org/", UrlNotAllowed),
        ("http://169.254.169.254/latest/meta-data", UrlNotAllowed),
        ("http://2130706433/", UrlNotAllowed),
        ("http://0x7f.1/", UrlNotAllowed),
        (r"https://evil.com\@images.example.org/", InvalidPicture),
        ("https://images.example.org/a b", InvalidPicture),
        ("https://images.example.org/\r\nHost: evil", InvalidPicture),
        ("https://images.example.org/\0", InvalidPicture),
        ("https://images.example.org:99999/", InvalidPicture),
        ("https://images.example.org:port/", InvalidPicture),
        ("https://ｉmages.example.org/", InvalidPicture),
        ("https://[::1/", InvalidPicture),
        ("https:///a.png", InvalidPicture),
        ("https:images.example.org", InvalidPicture),
        ("file:///etc/passwd", InvalidPicture),
        ("gopher://images.example.org/", InvalidPicture),
        ("", InvalidPicture),
        ("https://images.example.org/" + "a" * LONGEST_URL, InvalidPicture),
    ],
)
def test_every_other_address_is_refused(url: str, kind: type[EdgeError]) -> None:
    with pytest.raises(kind) as caught:
        HOSTS.link(url)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("location", "to"),
    [
        ("/b.png", "https://images.example.org/b.png"),
        ("?b", "https://images.example.org/a/c?b"),
        ("//nas.lan:8000/x", "https://nas.lan:8000/x"),
        ("http://nas.lan:8000/x", "http://nas.lan:8000/x"),
        ("https://evil.com/", None),
        ("file:///etc/passwd", None),
        ("data:image/png;base64,AAAA", None),
        ("https://[", None),
    ],
)
def test_a_redirect_is_checked_like_the_first_address(
    location: str, to: str | None
) -> None:
    first = HOSTS.link("https://images.example.org/a/c")
    if to is None:
        with pytest.raises((UrlNotAllowed, InvalidPicture)):
            HOSTS.redirect(first, location)
    else:
        assert str(HOSTS.redirect(first, location)) == to


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("93.184.215.14", True),
        ("2606:2800:220:1::1", True),
        ("::ffff:93.184.215.14", True),
        ("192.168.1.7", True),  # listed
        ("::ffff:192.168.1.7", True),
        ("2001:db8::1", True),  # a listed host is its own address
        *((private, False) for private in ("127.0.0.1", "10.0.0.1", "192.168.2.7")),
        *((private, False) for private in ("169.254.169.254", "0.0.0.0", "100.64.0.1")),
        *((private, False) for private in ("224.0.0.1", "255.255.255.255", "::1")),
        *((private, False) for private in ("::", "fe80::1", "fd00::1", "ff02::1")),
        *((hidden, False) for hidden in ("::ffff:10.0.0.1", "64:ff9b::a00:1")),
        *((hidden, False) for hidden in ("2002:a00:1::", "2001:0:1::1", "2001:db8::2")),
    ],
)
def test_only_public_and_listed_addresses_are_opened(address: str, may: bool) -> None:
    assert HOSTS.may_open(ipaddress.ip_address(address)) == may


@pytest.mark.parametrize(
    "text",
    [
        "https://images.example.org",
        "images.example.org/path",
        "*.example.org",
        "me@example.org",
        "example.org:port",
        "example.org:99999",
        "192.168.1.7/24",
        "exa mple.org",
        ":80",
    ],
)
def test_a_wrong_list_is_one_clear_sentence(text: str) -> None:
    with pytest.raises(SetupError, match=r"EDGE_PICTURE_HOSTS: .* is not like"):
        PictureHosts(f"example.org, {text}")


def test_an_empty_list_allows_nothing() -> None:
    assert not PictureHosts("") and not PictureHosts(" , ")
    assert not PictureHosts("10.0.0.0/8")  # no host
    assert PictureHosts("example.org")


@pytest.mark.parametrize(
    ("url", "does"),
    [
        ("https://a", True),
        (" HTTP://a", True),
        ("data:image/png;base64,", False),
        ("http:a", False),
        ("httpx://a", False),
    ],
)
def test_what_looks_like_an_address(url: str, does: bool) -> None:
    assert is_link(url) == does
