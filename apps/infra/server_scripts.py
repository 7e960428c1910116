"""The shell of a project's release on a server; words follow the script, nothing is ever pasted into it."""

from typing import Final

_ROOT: Final = 'set -eu\nroot="${DEPLOY_ROOT:-$HOME/projects}/$1"\nreleases="$root/releases"\n'
#: PROJECT SHA: the values are resolved. Whatever goes wrong, they do not stay behind.
PREPARE: Final = (
    _ROOT
    + """\
sha=$2
if ! command -v docker >/dev/null || ! docker info >/dev/null 2>&1; then
    echo "The server's Docker does not answer."
    exit 69
fi
for file in compose.yaml compose.prod.yaml deploy/environment.py deploy/build.sh deploy/activate.sh; do
    [ -f "$file" ] || { echo "The project has no $file, so it cannot be deployed to a server."; exit 64; }
done
new="$releases/.$sha"
trap 'code=$?; [ "$code" -eq 0 ] || rm -rf "$new"; exit "$code"' EXIT
trap 'exit 143' INT TERM
(umask 077; mkdir -p "$releases"; rm -rf "$new"; mkdir "$new")
python3 -m deploy.environment release "$new" || exit 65
"""
)
#: PROJECT SHA DEPLOYMENT: runs without the values, in a process that never had them.
BUILD: Final = (
    _ROOT
    + """\
sha=$2
new="$releases/.$sha"
trap 'rm -rf "$new"' EXIT
trap 'exit 143' INT TERM
bash deploy/build.sh "$sha" "$new/images.json" || exit 66
cp compose.yaml compose.prod.yaml deploy/activate.sh "$new/"
echo "$3" >"$new/deployment"
# The same commit with another environment: the files of before are the release to go back to.
if [ -d "$releases/$sha" ] && [ ! -d "$new.before" ]; then mv "$releases/$sha" "$new.before"; fi
rm -rf "${releases:?}/$sha"
mv "$new" "$releases/$sha"
"""
)
#: PROJECT SHA DEPLOYMENT
ACTIVATE: Final = (
    _ROOT
    + """\
release="$releases/$2" undo="$releases/.undo-$3"
# activate.sh forgets what ran before of the same commit; the look from outside comes after it.
if [ -d "$releases/.$2.before" ] && [ ! -d "$undo" ]; then
    rm -rf "$undo.new"
    cp -Rp "$releases/.$2.before" "$undo.new"
    mv "$undo.new" "$undo"
fi
if [ -d "$undo" ] && ! grep -qsx "$3" "$release/deployment"; then
    echo "An earlier try has gone back already."
    exit 6
fi
sh "$release/activate.sh" "$1" "$2"
cat "$release/images.json"
"""
)
#: PROJECT SHA-OF-BEFORE-OR-NOTHING SHA DEPLOYMENT: goes back, or removes all but the volumes, which are the
#: project's data.
UNDO: Final = (
    _ROOT
    + """\
if [ -n "$2" ]; then
    undo="$releases/.undo-$4"
    for from in "$undo" "$releases/.$3.before"; do
        [ -d "$from" ] || continue
        if [ ! -d "$releases/$3" ] || grep -qsx "$4" "$releases/$3/deployment"; then
            rm -rf "${releases:?}/$3"
            mv "$from" "$releases/$3"
            rm -rf "$releases/.$3.before"
        fi
    done
    rm -rf "$undo" "$undo.new"
    exec sh "$releases/$2/activate.sh" "$1" "$2"
fi
own="label=com.docker.compose.project=$1"
containers=$(docker ps --all --quiet --filter "$own")
if [ -n "$containers" ]; then
    docker stop $containers >/dev/null
    docker rm --force $containers >/dev/null
fi
networks=$(docker network ls --quiet --filter "$own")
[ -z "$networks" ] || docker network rm $networks >/dev/null
# By their whole names: those of a project whose name goes on after ours are not ours.
for file in "$root"/releases/*/images.json; do
    [ -f "$file" ] || continue
    sha=$(basename "$(dirname "$file")")
    for service in $(grep -o '"[A-Za-z0-9_.-]*": "sha256:' "$file" | cut -d '"' -f 2); do
        docker image rm --force "$1-$service:$sha" >/dev/null 2>&1 || true
    done
done
rm -rf "$root/releases" "$root/current" "$root/.current" "$root/.lock"
# What else lies there is data.
rmdir "$root" 2>/dev/null || true
left=$(docker ps --all --quiet --filter "$own")
[ -z "$left" ]
"""
)
#: PROJECT SHA DEPLOYMENT: removes what a build left that nobody made live, values above all.
FORGET_BUILD: Final = (
    _ROOT
    + """\
rm -rf "$releases/.$2"
if grep -qsx "$3" "$releases/$2/deployment"; then
    rm -rf "${releases:?}/$2"
    if [ -d "$releases/.$2.before" ]; then mv "$releases/.$2.before" "$releases/$2"; fi
fi
rmdir "$releases" "$root" 2>/dev/null || true
"""
)
#: PROJECT: its live release has proven itself, so there is no way back to the one before any more.
FORGET_BEFORE: Final = _ROOT + 'rm -rf "$releases"/.undo-*\n'
