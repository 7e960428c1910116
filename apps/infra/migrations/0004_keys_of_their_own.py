"""The key that deployments log in with becomes a row like every other key of a server."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from django.db import migrations


def _public_part(private_key):
    """Return type and key; empty for one that was stored without being read, as it was possible before."""
    for load in (serialization.load_ssh_private_key, serialization.load_pem_private_key):
        try:
            public = load(private_key.encode(), password=None).public_key()
            return public.public_bytes(
                serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
            ).decode()
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
    return ''


def _move(apps, schema_editor):
    server_model, identity_model = apps.get_model('infra', 'Server'), apps.get_model('infra', 'SshIdentity')
    server_model.objects.filter(kind='local').update(provider='local')
    for server in server_model.objects.filter(kind='ssh').iterator():
        if server.identity:
            identity_model.objects.create(
                server=server,
                purpose='deploy',
                status='installed',
                private_key=server.identity,
                public_key=_public_part(server.identity),
            )
    # What is checked at the end of the transaction would keep the column from being removed in it.
    schema_editor.execute('SET CONSTRAINTS ALL IMMEDIATE')


class Migration(migrations.Migration):

    dependencies = [
        ('infra', '0003_server_lifecycle'),
    ]

    operations = [
        migrations.RunPython(_move, migrations.RunPython.noop),
        migrations.RemoveField(
            model_name='server',
            name='identity',
        ),
    ]
