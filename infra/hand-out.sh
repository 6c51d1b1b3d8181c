#!/bin/bash
# Hands each service its folder: a user of its own, its own keys and what it must read, and nothing of another's.
#   hand-out.sh [FOLDER], as root. FOLDER/site is the operator's WUXING_DATA, FOLDER/ingest, FOLDER/ranker … the services'.
# Again after every change of keys or assessments; the broker's unit does so at its start and reload. Safe to repeat.
# Not as root, as in a container, all is one user's, and what keeps services apart is what each has mounted.
set -euo pipefail
umask 077
mkdir -p "${1:-/var/lib/wuxing}"
base=$(realpath "${1:-/var/lib/wuxing}")
site=$base/site
services=(nats ingest scorer ranker gateway console witness)
shared=(cuts snapshots)  # the scorer's copies, which the ranker reads; what the ranker publishes, which page and witness read

fail() { echo "$*" >&2; exit 1; }
root() { [ "$(id -u)" = 0 ]; }
group() { if [ "$1" = nats ]; then echo wuxing-nats; else echo wuxing; fi; }
user() {
    case $1 in site) echo wuxing ;; cuts) echo wuxing-scorer ;; snapshots) echo wuxing-ranker ;; *) echo "wuxing-$1" ;; esac
}

as() {  # as FOLDER COMMAND…: root touches nothing below a folder itself, for its user could have put a link there
    if root; then
        setpriv --reuid "$(user "$1")" --regid "$(group "$1")" --init-groups "${@:2}"
    else
        "${@:2}"
    fi
}

write() {  # write FOLDER PATH: what stdin says, whole or not at all
    as "$1" bash -c 'mkdir -p "$(dirname "$1")" && cat > "$1.new" && mv -fT "$1.new" "$1"' - "$2"
}

give() {  # give FOLDER FILE…: copies of the operator's files, each whole or not at all, and none of what is not there
    as site bash -c 'cd "$1" && for one in "${@:2}"; do if [ -f "$one" ]; then echo "$one"; fi; done | tar -c -T -' \
        - "$site/$at" "${@:2}" |
        as "$1" bash -euc 'umask 066; mkdir -p "$1"; umask 077; cd "$1"; rm -rf .new; mkdir -p .new keys tls; tar -C .new -x
            for one in "${@:2}"; do
                if [ ! -f ".new/$one" ]; then rm -f "$one"
                elif ! cmp -s ".new/$one" "$one"; then mv -fT ".new/$one" "$one"; fi
            done
            rm -r .new' - "$base/$1/$at" "${@:2}"
}

keep() {  # keep FOLDER NAME PATH MODE: what a service writes lies in PATH, and the operator's NAME is a link to it
    local from=$site/$at/$2 to=$base/$3
    as "$1" bash -c 'umask 027 && mkdir -p "$1"' - "$to"
    if as site test -d "$from" -a ! -L "$from"; then
        as "$1" bash -c '[ -e "$1/.moving" ] || [ -z "$(ls -A "$1")" ]' - "$to" ||
            fail "$from and $to are both there: move one of them away."
        as site tar -C "$from" -c . |
            as "$1" bash -euc 'cd "$1"; touch .moving; tar -x; chmod -R g+rX .; rm .moving' - "$to"
        as site rm -r "$from"
    fi
    as "$1" chmod "$4" "$to"
    as site ln -sfnT "$up$3" "$from"
}

log_key() {  # the ranker alone has it; root, who archives and backs up, finds it where it was
    local from=$site/$at/keys/log.key to=$base/ranker/$at/keys/log.key
    if as site test -f "$from" -a ! -L "$from"; then
        if as ranker test -e "$to"; then
            [ "$(as site cat "$from")" = "$(as ranker cat "$to")" ] || fail "$from and $to differ: move one of them away."
        else
            as site cat "$from" | write ranker "$to"
        fi
    fi
    as site ln -sfnT "../${up}ranker/$at/keys/log.key" "$from"
}

users() {
    local name
    for name in wuxing wuxing-nats; do
        id "$name" &> /dev/null || useradd --system --user-group --home-dir "$base" --shell /usr/sbin/nologin "$name"
    done
    for name in "${services[@]}"; do
        id "wuxing-$name" &> /dev/null ||
            useradd --system --gid wuxing --home-dir "$base" --shell /usr/sbin/nologin "wuxing-$name"
    done
    usermod --append --groups wuxing-nats wuxing  # who configures reads how much the store holds, and takes its lock
}

places() {  # the folders themselves; what root left there, of a restore or a repair, is its user's
    local name mode
    if ! root; then
        mkdir -p "$site" "${services[@]/#/$base/}" "${shared[@]/#/$base/}"
        return
    fi
    chmod 755 "$base"
    for name in site "${services[@]}" "${shared[@]}"; do
        case $name in nats | cuts | snapshots) mode=750 ;; ingest) mode=711 ;; *) mode=700 ;; esac
        install -d -o "$(user "$name")" -g "$(group "$name")" -m "$mode" "$base/$name"
        find -P "$base/$name" ! -user "$(user "$name")" -execdir chown -h "$(user "$name"):$(group "$name")" {} +
    done
}

broker() {
    local file
    if as site test -f "$site/nats.lock" -a ! -L "$site/nats.lock"; then
        as site flock -n "$site/nats.lock" true || fail "A broker runs on $site itself (wuxing up, wuxing open): end it first."
    fi
    as nats touch "$base/nats/nats.lock"
    as nats chmod 660 "$base/nats/nats.lock"
    as site ln -sfT ../nats/nats.lock "$site/nats.lock"
    keep nats jetstream nats/jetstream 750
    for file in $(as site find "$site" -maxdepth 1 -name '*.conf' -printf '%f '); do
        as site sed "s|$site/|$base/nats/|g" "$site/$file" | write nats "$base/nats/$file"
    done
    give nats tls/ca.crt tls/tls.crt tls/tls.key
    for file in ingest scorer ranker console witness; do give "$file" tls/ca.crt; done
    give gateway tls/ca.crt tls/gateway.crt tls/gateway.key  # a certificate of its own: by the broker's it could pass for it
    as gateway ln -sfT gateway.crt "$base/gateway/tls/tls.crt"
    as gateway ln -sfT gateway.key "$base/gateway/tls/tls.key"
}

assessment() {
    local name file
    if ! as site test -f "$site/$at/keys/receipt.key"; then
        if as site test -f "$site/$at/parties.json"; then echo "$site/$at: not yet opened, left out" >&2; fi
        return
    fi
    for file in $(as site find "$site/$at/turns" -name '*.lock' -printf '%f ' 2> /dev/null); do
        as site flock -n "$site/$at/turns/$file" true || { echo "$site/$at: in use, left out" >&2; return; }
    done
    give ingest opening.json parties.json keys/ingest.nk keys/receipt.key
    give scorer opening.json parties.json keys/scorer.nk keys/receipt.key
    give ranker opening.json parties.json keys/ranker.nk
    give gateway opening.json parties.json keys/gateway.nk gateway-keys.json
    give console opening.json parties.json keys/gateway.nk gateway-keys.json access.toml
    give witness opening.json parties.json
    log_key
    keep ingest ingest "ingest/$at/ingest" 750  # which says how far it came; `status` and `provision` ask
    keep scorer scorer "scorer/$at/scorer" 700
    keep ranker snapshots "snapshots/$place" 750
    as scorer bash -c 'umask 027 && mkdir -p "$1"' - "$base/cuts/$place"
    as scorer ln -sfnT "${up}cuts/$place" "$base/scorer/$at/cuts"
    for name in ranker console witness; do as "$name" ln -sfnT "${up}snapshots/$place" "$base/$name/$at/snapshots"; done
}

cd /
if root; then users; fi
places
as site test -f "$site/nats.conf" || exit 0  # nothing is open yet: `wuxing open` still needs a broker of its own there
at=. place=site up=../
broker
assessment
for at in $(as site find "$site/assessments" -mindepth 1 -maxdepth 1 -type d -printf 'assessments/%f ' 2> /dev/null); do
    place=$at up=../../../
    assessment
done
