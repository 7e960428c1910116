"""Rows of the chat front end."""

from apps.bot.models.callback import Action, Callback
from apps.bot.models.card import LiveCard
from apps.bot.models.chat import Chat, ChatStatus
from apps.bot.models.conversation import (
    ChatFile,
    ChatMessage,
    ChatMessageStatus,
    Conversation,
    FileStatus,
)
from apps.bot.models.delivery import Delivery, DeliveryKind, DeliveryStatus, SendGate
from apps.bot.models.dialog import Dialog, DialogKind
from apps.bot.models.trouble import Trouble
from apps.bot.models.update import HeldUpdate, ProcessedUpdate

__all__ = [
    "Action",
    "Callback",
    "Chat",
    "ChatFile",
    "ChatMessage",
    "ChatMessageStatus",
    "ChatStatus",
    "Conversation",
    "Delivery",
    "DeliveryKind",
    "DeliveryStatus",
    "Dialog",
    "DialogKind",
    "FileStatus",
    "HeldUpdate",
    "LiveCard",
    "ProcessedUpdate",
    "SendGate",
    "Trouble",
]
