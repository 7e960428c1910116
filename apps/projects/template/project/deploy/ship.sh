#!/usr/bin/env bash
# Brings a release to the server: deploy/ship.sh SSH_CONFIG SHA RELEASE_DIRECTORY
# Images go directly, without a registry. The release becomes visible under its name only when it is whole.
set -euo pipefail
config=$1 sha=$2 release=$3

slug=$(python3 -c 'import json; print(json.load(open("deploy/project.json"))["slug"])')
mapfile -t images < <(python3 -m deploy.environment images "$sha" | cut -d ' ' -f 2)
docker save "${images[@]}" | gzip --fast | ssh -F "$config" server 'gunzip | docker load --quiet'
cp compose.yaml compose.prod.yaml deploy/activate.sh "$release/"
tar --create --directory "$release" . | ssh -F "$config" server "
    set -eu
    umask 077
    directory=\"\${DEPLOY_ROOT:-\$HOME/projects}/$slug/releases\"
    mkdir -p \"\$directory\"
    rm -rf \"\$directory/.$sha\"
    mkdir \"\$directory/.$sha\"
    tar --extract --directory \"\$directory/.$sha\"
    # Until the same commit is live with its new environment, the old one stays at hand.
    if [ -d \"\$directory/$sha\" ]; then
        rm -rf \"\$directory/.$sha.before\"
        mv \"\$directory/$sha\" \"\$directory/.$sha.before\"
    fi
    mv \"\$directory/.$sha\" \"\$directory/$sha\"
"
