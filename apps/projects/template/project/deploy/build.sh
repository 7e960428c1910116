#!/usr/bin/env bash
# Builds the images of a commit and notes their digests: deploy/build.sh SHA DIGESTS.json
# PYTHON_IMAGE in the environment replaces the base image.
set -euo pipefail
sha=$1 digests=$2

build=(docker build --label "org.opencontainers.image.revision=$sha")
if [ -n "${PYTHON_IMAGE:-}" ]; then
    build+=(--build-arg PYTHON_IMAGE)
fi
images=$(python3 -m deploy.environment images "$sha")
separator='{'
: >"$digests"
while read -r service image; do
    "${build[@]}" --target "$service" --tag "$image" .
    printf '%s"%s": "%s"' "$separator" "$service" "$(docker image inspect --format '{{.Id}}' "$image")" >>"$digests"
    separator=', '
    echo "built $image"
done <<<"$images"
echo '}' >>"$digests"
