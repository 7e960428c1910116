#!/bin/sh
# Starts what should run and does not, of the compose projects that are named; says what it has started.
# A container without a restart policy has done its work: a migration is not done again.
set -eu
for project in "$@"; do
    ids=$(docker ps --all --quiet --filter "label=com.docker.compose.project=$project" \
        --filter status=exited --filter status=dead --filter status=created)
    for id in $ids; do
        case $(docker inspect --format '{{.HostConfig.RestartPolicy.Name}}' "$id") in
            always | unless-stopped | on-failure)
                docker start "$id" >/dev/null
                echo "started $project $id"
                ;;
        esac
    done
    ids=$(docker ps --quiet --filter "label=com.docker.compose.project=$project" --filter health=unhealthy)
    for id in $ids; do
        docker restart "$id" >/dev/null
        echo "started $project $id"
    done
done
