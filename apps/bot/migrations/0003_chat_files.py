"""Files of messages get a name of their own, and the id under which workers see them."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("bot", "0002_conversations")]

    operations = [
        migrations.RemoveConstraint(model_name="attachment", name="attachment_status_known"),
        migrations.RenameModel(old_name="Attachment", new_name="ChatFile"),
        migrations.RemoveField(model_name="chatfile", name="name"),
        migrations.RemoveField(model_name="chatfile", name="sha256"),
        migrations.AddField(
            model_name="chatfile",
            name="attachment_id",
            field=models.UUIDField(blank=True, help_text="Under which the workers get it.", null=True),
        ),
        migrations.AlterField(
            model_name="chatfile",
            name="message",
            field=models.ForeignKey(
                on_delete=models.deletion.CASCADE, related_name="files", to="bot.chatmessage"
            ),
        ),
        migrations.AddConstraint(
            model_name="chatfile",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["pending", "refused", "stored"])),
                name="chat_file_status_known",
            ),
        ),
    ]
