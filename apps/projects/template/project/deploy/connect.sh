#!/usr/bin/env bash
# Writes what ssh needs to reach the server into a directory: deploy/connect.sh DIRECTORY
# Then: ssh -F DIRECTORY/config server COMMAND. The server proves itself by the key that is pinned.
set -euo pipefail
umask 077
directory=$1
mkdir -p "$directory"
for name in DEPLOY_HOST DEPLOY_USER DEPLOY_SSH_KEY DEPLOY_HOST_KEY; do
    if [ -z "${!name:-}" ]; then
        echo "$name is missing among the repository's secrets" >&2
        exit 1
    fi
done
printf '%s\n' "$DEPLOY_SSH_KEY" >"$directory/key"
# The host's name may stand before the key, as in known_hosts; it is known here under one name of ours.
printf '%s\n' "$DEPLOY_HOST_KEY" | awk '
    /^[[:space:]]*(#|$)/ { next }
    { for (i = 1; i < NF; i++) if ($i ~ /^(ssh-|ecdsa-|sk-)/) { print "server", $i, $(i + 1); next } }
' >"$directory/known_hosts"
if [ ! -s "$directory/known_hosts" ]; then
    echo "DEPLOY_HOST_KEY holds no public key of a host" >&2
    exit 1
fi
cat >"$directory/config" <<CONFIG
Host server
    HostName $DEPLOY_HOST
    Port ${DEPLOY_PORT:-22}
    User $DEPLOY_USER
    HostKeyAlias server
    IdentityFile $directory/key
    IdentitiesOnly yes
    UserKnownHostsFile $directory/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no
    BatchMode yes
    ConnectTimeout 15
    ConnectionAttempts 3
    ServerAliveInterval 15
    ServerAliveCountMax 4
CONFIG
