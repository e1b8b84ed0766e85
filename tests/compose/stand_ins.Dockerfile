# Stand-ins for the base images where no registry answers, made from Debian packages. Each
# has the same name, users, folders and entry point as the official image, and another
# content: sizes and versions are Debian's.
FROM edge-vl-debian AS debian
COPY ca-certificates.crt /etc/ssl/certs/
RUN printf 'path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/locale/*\npath-exclude=/usr/share/man/*\n' \
    > /etc/dpkg/dpkg.cfg.d/small \
    && printf 'APT::Install-Recommends "false";\nAPT::Get::Assume-Yes "true";\nDir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n' \
        > /etc/apt/apt.conf.d/short \
    && rm -rf /usr/share/doc /usr/share/locale /usr/share/man


# The official image compiles Python into /usr/local, with pip of its own.
FROM debian AS python
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN apt-get update \
    && apt-get install python3 python3-venv \
    && ln -s python3 /usr/bin/python \
    && rm /usr/lib/python3*/EXTERNALLY-MANAGED \
    && python -m venv /tmp/with-pip \
    && /tmp/with-pip/bin/pip install --quiet \
        --target "$(echo /usr/local/lib/python3*/dist-packages)" pip \
    && printf '#!/bin/sh\nexec python -m pip "$@"\n' > /usr/local/bin/pip \
    && chmod +x /usr/local/bin/pip \
    && rm -rf /tmp/with-pip /var/lib/apt/lists/* /var/cache/apt/*
CMD ["python3"]


FROM debian AS valkey
RUN groupadd --gid 1000 valkey \
    && useradd --uid 999 --gid 1000 --no-create-home valkey \
    && apt-get update \
    && apt-get install valkey-server \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && install --directory --owner=999 --group=1000 /data
VOLUME /data
WORKDIR /data
EXPOSE 6379
# The official server is built with its protected mode off.
RUN printf '#!/bin/sh\nif [ "$1" = valkey-server ]; then shift; set -- valkey-server --protected-mode no "$@"; fi\nexec "$@"\n' \
    > /usr/local/bin/docker-entrypoint.sh \
    && chmod +x /usr/local/bin/docker-entrypoint.sh
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["valkey-server"]


FROM debian AS nginx
RUN groupadd --gid 101 nginx \
    && useradd --uid 101 --gid 101 --no-create-home nginx \
    && apt-get update \
    && apt-get install nginx-light busybox \
    && ln -s busybox /usr/bin/wget \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
EXPOSE 80
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]


FROM debian AS prometheus
RUN apt-get update \
    && apt-get install prometheus busybox \
    && ln -s busybox /usr/bin/wget \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && install --directory --owner=65534 --group=65534 /prometheus
USER nobody
VOLUME /prometheus
WORKDIR /prometheus
EXPOSE 9090
ENTRYPOINT ["prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
