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
    command -v apt-get > /dev/null || fail "Debian $1 is made of its packages by apt, which is not here"
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
        cd "$fetched/root" || exit
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
# each. PostgreSQL finds its files beside the name that it is called by, the script's. LD_LIBRARY_PATH comes
# first, as it does wherever a program is started by itself: the loader does not look at it once it is given
# directories.
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
first=\${LD_LIBRARY_PATH:+\$LD_LIBRARY_PATH:}
exec "\$root/$loader" --library-path "\$first\$libraries:\$libraries/openblas-pthread" --argv0 "\$0" \\
    "\$root/$place/programs/\${0##*/}" "\$@"
END
        chmod 755 "$program"
    done
}

# need_mounts: what a root needs that packages are installed in: it has /proc and the like of its own.
need_mounts() {
    [ "$(id -u)" = 0 ] || fail "packages are built and tried in a root of their own, which only root can make"
    unshare --mount --pid --fork true 2> /dev/null \
        || fail "packages are built and tried in a root of their own, and this machine lets nobody mount
       (in a container: run it with the capability SYS_ADMIN)"
}

# new_root RELEASE VARIANT DIRECTORY PACKAGE...: a root of that Debian with packages installed, of
# mmdebstrap's variant buildd (what building takes) or apt (as little as there can be).
new_root() {
    local release=$1 variant=$2 directory=$3 packages
    shift 3
    need_mounts
    need_packages mmdebstrap
    packages=$(IFS=,; say "$*")
    debian_sources "$release" | mmdebstrap --quiet --mode=root --variant="$variant" \
        ${packages:+"--include=$packages"} "$(codename_of "$release")" "$directory" -
}

# in_root DIRECTORY [PLACE...] -- COMMAND...: runs a command there with the PLACEs of this machine at the
# same paths. The mounts are in a namespace of their own, so that they are gone with the command and
# nothing that walks through the root or removes it ever comes upon them; so are all processes that the
# command leaves behind.
in_root() {
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child --propagation private bash -euc '
        root=$1
        shift
        mount --rbind /dev "$root/dev"
        mount -t proc proc "$root/proc"
        for place in /etc/resolv.conf; do
            [ ! -e "$place" ] || { touch "$root$place"; mount --bind "$place" "$root$place"; }
        done
        while [ "$1" != -- ]; do
            mkdir -p "$root$1"
            mount --rbind "$1" "$root$1"
            shift
        done
        shift
        exec chroot "$root" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
    ' bash "$@"
}
