"""Rows of the chat front end."""

from apps.bot.models.chat import Chat, ChatStatus
from apps.bot.models.delivery import Delivery, DeliveryKind, DeliveryStatus, SendGate
from apps.bot.models.trouble import Trouble

__all__ = [
    "Chat",
    "ChatStatus",
    "Delivery",
    "DeliveryKind",
    "DeliveryStatus",
    "SendGate",
    "Trouble",
]
