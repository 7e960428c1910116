#!/usr/bin/env bash
# Makes a release that is on the server the live one and tells the git host: deploy/go_live.sh SSH_CONFIG SHA
set -euo pipefail
config=$1 sha=$2

slug=$(python3 -c 'import json; print(json.load(open("deploy/project.json"))["slug"])')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What was built and where it answers is asked of the server: a rollback builds nothing here.
on_server="\${DEPLOY_ROOT:-\$HOME/projects}/$slug/releases/$sha"
if ! ssh -F "$config" server "cat \"$on_server/images.json\"" >"$work/images.json"; then
    echo "the release $sha is not on the server" >&2
    exit 1
fi
url=$(ssh -F "$config" server "cat \"$on_server/url\"")
deployment=$(python3 -m deploy.report start "$sha" "$work/images.json")
state=failure
if ssh -F "$config" server "sh \"$on_server/activate.sh\" $slug $sha"; then
    state=success
fi
python3 -m deploy.report finish "$deployment" "$state" "$url"
test "$state" = success
