#!/bin/sh
# Runs on the server: makes a release of a project the live one, or leaves the one before live.
#   activate.sh PROJECT SHA
# The release lies in $DEPLOY_ROOT/PROJECT/releases/SHA; $DEPLOY_ROOT/PROJECT/current leads to the live one.
# No volume is ever removed here.
set -eu
umask 077
project=$1 sha=$2
home=${DEPLOY_ROOT:-$HOME/projects}/$project
health_seconds=${DEPLOY_HEALTH_SECONDS:-180}
settle_seconds=${DEPLOY_SETTLE_SECONDS:-15}
keep=3
# A release says by its own .env which it is; the environment would win over that.
unset PROJECT RELEASE

if docker compose version >/dev/null 2>&1; then
    compose() { docker compose "$@"; }
else
    compose() { docker-compose "$@"; }
fi

# in_release SHA COMMAND... runs compose on a release, under one name of the project on this server.
in_release() {
    directory=$home/releases/$1
    shift
    (cd "$directory" && compose --project-name "$project" \
        -f compose.yaml -f compose.prod.yaml -f compose.values.json "$@")
}

containers() {
    docker ps --all --quiet --filter "label=com.docker.compose.project=$project" \
        --filter label=com.docker.compose.oneoff=False
}

# One line per container: id, restarts, name, status, health or "-".
states() {
    ids=$(containers)
    if [ -z "$ids" ]; then
        return
    fi
    # shellcheck disable=SC2086  # one word per container
    docker inspect --format '{{.Id}} {{.RestartCount}} {{.Name}} {{.State.Status}} '\
'{{if .State.Health}}{{.State.Health.Status}}{{else}}-{{end}}' $ids
}

# Prints the containers that were restarted since a list of states was made; new ones had no restart then.
restarted_since() {
    states | while read -r id restarts rest; do
        earlier=$(echo "$1" | sed -n "s/^$id \([0-9]*\) .*/\1/p")
        if [ "$restarts" -gt "${earlier:-0}" ]; then
            echo "$id $restarts $rest"
        fi
    done
}

all_well() {
    now=$(states)
    test -n "$now" && ! echo "$now" | grep --quiet --extended-regexp --invert-match ' running (healthy|-)$'
}

# Every container has to be well within the limit, and then stay so for a while; none may have been restarted.
await_health() {
    deadline=$(($(date +%s) + health_seconds))
    until all_well; do
        if [ "$(date +%s)" -ge "$deadline" ] || [ -n "$(restarted_since "$1")" ]; then
            ill=yes
            echo "not healthy:" >&2
            states | cut -d ' ' -f 2- >&2
            return 1
        fi
        sleep 1
    done
    sleep "$settle_seconds"
    if ! all_well || [ -n "$(restarted_since "$1")" ]; then
        ill=yes
        echo "did not stay healthy for $settle_seconds s:" >&2
        states | cut -d ' ' -f 2- >&2
        return 1
    fi
}

bring_up() {
    before=$(states)
    in_release "$1" up --detach --remove-orphans --no-build && await_health "$before"
}

show_logs() {
    echo "last lines of each service:" >&2
    in_release "$1" logs --no-color --tail 40 2>&1 | tail -n 200 | cut -c 1-500 >&2 || true
}

switch() {
    ln -sfn "releases/$sha" "$home/.current"
    mv -T "$home/.current" "$home/current"
    touch "$home/releases/$sha"
}

# Newest first by the time they were live; the live one is among them.
prune() {
    # shellcheck disable=SC2012  # names are hexadecimal
    ls -1t "$home/releases" | tail -n +$((keep + 1)) | while read -r old; do
        docker image ls --quiet --filter "label=org.opencontainers.image.revision=$old" | sort -u \
            | xargs --no-run-if-empty docker image rm --force >/dev/null || true
        rm -rf "${home:?}/releases/$old"
    done
}

case $sha in
    *[!0-9a-f]* | '') echo "this is not a commit: $sha" >&2; exit 2 ;;
esac
if [ ! -f "$home/releases/$sha/compose.values.json" ]; then
    echo "the release $sha is not on the server" >&2
    exit 3
fi
exec 9>"$home/.lock"
if ! flock --wait 60 9; then
    echo "another deployment of $project is at work" >&2
    exit 4
fi
previous=$(readlink "$home/current" 2>/dev/null || true)
previous=${previous##*/}

# Whoever reads only the end of all this has to find why: the last line says it again.
give_up() {
    if [ -n "$verdict" ]; then
        echo "not healthy: $sha" >&2
    fi
    exit 1
}

ill=
if bring_up "$sha"; then
    switch
    rm -rf "$home/releases/.$sha.before"
    prune
    echo "live: $sha"
    exit 0
fi
verdict=$ill
show_logs "$sha"
if [ "$previous" = "$sha" ] && [ -d "$home/releases/.$sha.before" ]; then
    # The same commit with another environment: the files of before are the release to go back to.
    rm -rf "$home/releases/$sha"
    mv "$home/releases/.$sha.before" "$home/releases/$sha"
fi
if [ -n "$previous" ] && [ -d "$home/releases/$previous" ]; then
    echo "going back to $previous" >&2
    if bring_up "$previous"; then
        echo "live again: $previous" >&2
        give_up
    fi
    echo "the release before is not healthy either" >&2
    exit 5
fi
if [ -z "$previous" ]; then
    in_release "$sha" down --remove-orphans >&2 || true
fi
give_up
