# Private clusters for the scripts: a fresh directory, a socket of their own, no network. Sourced after environment.sh.
# shellcheck shell=bash

# begin_run: makes RUN, a fresh directory that the server's user can enter, and removes it and every
# server below it when the script ends, however it ends. Not under the checkout, which may be closed
# to that user, and short, since socket paths end at 107 bytes.
begin_run() {
    RUN=$(mktemp -d /tmp/pgn.XXXXXX)
    chmod 755 "$RUN"
    trap end_run EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

end_run() {
    local status=$? pidfile
    trap - EXIT
    for pidfile in $(find "$RUN" -maxdepth 4 -name postmaster.pid 2> /dev/null); do
        stop_postmaster "$(head -n 1 "$pidfile")"
    done
    # The small disks of a test that was cut off.
    awk -v run="$RUN/" 'index($2, run) == 1 { print $2 }' /proc/mounts | xargs -r umount -l
    rm -rf "$RUN"
    exit "$status"
}

# keep_run: leaves the servers and RUN to the caller's user.
keep_run() { trap - EXIT; }

stop_postmaster() {
    local pid=$1 tries
    kill -QUIT "$pid" 2> /dev/null || return 0
    for tries in $(seq 100); do
        kill -0 "$pid" 2> /dev/null || return 0
        sleep 0.05
    done
    kill -KILL "$pid" 2> /dev/null || true
}

# as_server COMMAND...: initdb and postgres refuse root.
as_server() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && runuser -u postgres -- "$@")
    else
        (cd / && "$@")
    fi
}

# installation VERSION PROFILE: a copy of that server with the extension in it, so that neither the
# system's server nor another run is touched; sets PG_CONFIG and BIN to the copy's.
installation() {
    local version=$1 profile=$2
    local copy=$RUN/server$version
    mkdir -p "$copy"
    if [ "$version" = 15 ]; then
        # Debian's layout: the server finds share/ relative to its bin/.
        mkdir -p "$copy/lib/postgresql" "$copy/share/postgresql"
        cp -r --reflink=auto /usr/lib/postgresql/15 "$copy/lib/postgresql/"
        cp -r --reflink=auto /usr/share/postgresql/15 "$copy/share/postgresql/"
        BIN=$copy/lib/postgresql/15/bin
    else
        local fetched
        fetched=$(fetched_server "$version")
        cp -r --reflink=auto "$fetched/." "$copy/"
        BIN=$(pg_config_of "$version")
        BIN=$copy${BIN#"$fetched"}
        BIN=$(dirname "$BIN")
    fi
    PG_CONFIG=$BIN/pg_config
    install_package "$version" "$profile" "$PG_CONFIG"
    chmod -R a+rX "$copy"
}

# upgrade_installations PROFILE PROFILE: the extension for 15 and for 18, so built, in copies of the
# servers that pg_upgrade goes from and to; sets OLDER and NEWER to their pg_config.
upgrade_installations() {
    installation 18 "$2"
    NEWER=$PG_CONFIG
    installation 15 "$1"
    OLDER=$PG_CONFIG
    # Over it the older minor, which has no client programs of its own.
    cp -r "$UPGRADABLE/usr/lib/postgresql/15" "$RUN/server15/lib/postgresql/"
    cp -r "$UPGRADABLE/usr/share/postgresql/15" "$RUN/server15/share/postgresql/"
}

# start_cluster NAME [SETTING...]: makes and starts a cluster with the server in BIN; sets PGHOST, PGPORT, PGUSER for clients.
start_cluster() {
    local directory=$RUN/$1
    shift
    install -d -m 700 "$directory"
    [ "$(id -u)" != 0 ] || chown postgres "$directory"
    as_server "$BIN/initdb" --pgdata="$directory/data" --username=postgres --auth=trust \
        --encoding=UTF8 --locale=C.UTF-8 --no-sync > "$RUN/initdb.log" 2>&1 \
        || { cat "$RUN/initdb.log" >&2; return 1; }
    {
        say "listen_addresses = ''"
        say "unix_socket_directories = '$directory'"
        say "fsync = off"
        local setting
        for setting in "$@"; do say "$setting"; done
    } >> "$directory/data/postgresql.conf"
    chmod 755 "$directory"
    as_server "$BIN/pg_ctl" start --wait --silent --pgdata="$directory/data" \
        --log="$directory/data/server.log" > /dev/null \
        || { cat "$directory/data/server.log" >&2; return 1; }
    export PGHOST=$directory PGPORT=5432 PGUSER=postgres
    unset PGDATABASE PGOPTIONS PGSERVICE PGPASSFILE
}

# stop_cluster NAME
stop_cluster() {
    as_server "$BIN/pg_ctl" stop --wait --silent --mode=fast --pgdata="$RUN/$1/data" > /dev/null
}

psql() { "$DEBIAN_15/psql" --no-psqlrc "$@"; }
