# Other Debians than the machine's own, made of Debian's packages by mmdebstrap. Sourced by environment.sh.
# shellcheck shell=bash

codename_of() {
    case $1 in
        12) say bookworm ;;
        13) say trixie ;;
        *) fail "Debian $1 is not known here: 12 and 13 are" ;;
    esac
}

# debian_postgresql RELEASE: the version of PostgreSQL that it has.
debian_postgresql() {
    case $1 in
        12) say 15 ;;
        13) say 17 ;;
        *) fail "Debian $1 is not known here: 12 and 13 are" ;;
    esac
}

# debian_sources RELEASE: that Debian's lines for apt, from the mirrors that apt is set up with here.
debian_sources() {
    local codename sources
    codename=$(codename_of "$1")
    sources=$(mirrored_sources "$codename")
    if [ -z "$sources" ] && [ "$(id -u)" = 0 ]; then
        # What a mirror holds is known once its lists were fetched.
        apt-get -q update > /dev/null
        sources=$(mirrored_sources "$codename")
    fi
    [ -n "$sources" ] || fail "apt is set up with no mirror of Debian here, which Debian $1 could be had from"
    say "$sources"
}

mirrored_sources() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI) $(LABEL)' \
        'Created-By: Packages' 'Origin: Debian' 'Component: main' | sort -u \
        | while read -r mirror label; do
            case $label in
                Debian) say "deb $mirror $1 main" ;;
                Debian-Security) say "deb $mirror $1-security main" ;;
            esac
        done
}

# fetch_debian_server RELEASE VERSION DIRECTORY: that Debian's PostgreSQL, its headers, OpenBLAS and all
# that they are linked to. The packages are unpacked and not installed, which takes no rights and mounts
# nothing; each program is started by that Debian's own loader and so with that Debian's libraries only,
# its libc among them.
fetch_debian_server() {
    local release=$1 version=$2 directory=$3 sources fetched
    need_packages mmdebstrap
    sources=$(debian_sources "$release")
    say "Fetching PostgreSQL $version and OpenBLAS of Debian $release"
    mkdir -p "$CACHE"
    fetched=$(mktemp -d "$CACHE/fetch.XXXXXX")
    # postgresql-server-dev by itself, for the headers: it depends on compilers.
    # shellcheck disable=SC2016
    mmdebstrap --quiet --variant=extract --include="postgresql-$version,libopenblas0-pthread" \
        --extract-hook="cd \"\$1\" && APT_CONFIG=\$MMDEBSTRAP_APT_CONFIG \
            apt-get -qq -o APT::Sandbox::User=root download postgresql-server-dev-$version \
            && dpkg-deb --extract postgresql-server-dev-$version*.deb . && rm ./*.deb" \
        "$(codename_of "$release")" "$fetched/root" - <<< "$sources"
    mkdir "$fetched/server"
    (
        cd "$fetched/root"
        cp -a --parents -t "$fetched/server" "usr/lib/postgresql/$version" "usr/share/postgresql/$version" \
            "usr/include/postgresql/$version" usr/lib/*-linux-gnu/*.so* usr/lib/*-linux-gnu/openblas-pthread
    )
    start_by_own_loader "$fetched/server" "usr/lib/postgresql/$version"
    chmod -R a+rX "$fetched/server"
    # Another run may have been first.
    mv -T "$fetched/server" "$directory" 2> /dev/null || true
    rm -rf "$fetched"
}

# start_by_own_loader DIRECTORY PLACE: puts the programs of PLACE/bin aside and a script in the place of
# each. PostgreSQL finds its files beside the name that it is called by, the script's.
start_by_own_loader() {
    local directory=$1 place=$2 loader libraries program
    mv "$directory/$place/bin" "$directory/$place/programs"
    mkdir "$directory/$place/bin"
    loader=$(cd "$directory" && echo usr/lib/*-linux-gnu/ld-linux*.so.*)
    [ -x "$directory/$loader" ] || fail "there is no loader in $directory"
    libraries=$(dirname "$loader")
    for program in "$directory/$place"/programs/*; do
        program=$directory/$place/bin/$(basename "$program")
        cat > "$program" <<END
#!/bin/sh
bin=\$(cd "\${0%/*}" && pwd)
root=\${bin%/$place/bin}
libraries=\$root/$libraries
exec "\$root/$loader" --library-path "\$libraries:\$libraries/openblas-pthread" --argv0 "\$0" \\
    "\$root/$place/programs/\${0##*/}" "\$@"
END
        chmod 755 "$program"
    done
}
