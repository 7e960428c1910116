"""Settings of the chat: which bot, how its news come, how fast it may speak."""

from orchestrator.env import env

# Names of secrets that this installation has and this process has not, because it is none of its business.
SECRETS_ELSEWHERE: list[str] = env.list("SECRETS_ELSEWHERE", "")

# Empty: there is no bot.
TELEGRAM_BOT_TOKEN: str = env.str("TELEGRAM_BOT_TOKEN", "")
# polling: the process runbot asks Telegram; webhook: Telegram calls TELEGRAM_WEBHOOK_URL/webhooks/telegram.
TELEGRAM_MODE: str = env.str("TELEGRAM_MODE", "polling")
# The public https:// address of this installation, without a path.
TELEGRAM_WEBHOOK_URL: str = env.str("TELEGRAM_WEBHOOK_URL", "")
# Tokens of bots that projects may be given, separated by commas.
TELEGRAM_BOT_TOKENS_POOL: list[str] = env.list("TELEGRAM_BOT_TOKENS_POOL", "")

# Telegram's limits: some 30 messages a second to everybody, one a second to a chat, short bursts allowed.
BOT_MESSAGES_PER_SECOND = 30.0
BOT_MESSAGES_BURST = 5
BOT_CHAT_MESSAGES_PER_SECOND = 1.0
BOT_CHAT_BURST = 3
# A card is edited no oftener; the newest state wins.
BOT_EDIT_INTERVAL_SECONDS = 1.0
# How long a message is owed while Telegram is away; a tap's answer and "typing" are of the moment.
BOT_DELIVERY_DEADLINE_SECONDS = 86_400
BOT_TAP_DEADLINE_SECONDS = 60
BOT_ACTION_DEADLINE_SECONDS = 10
# Each step of a request to Telegram; asking for news lasts as long as there are none, up to BOT_POLL_SECONDS.
BOT_REQUEST_SECONDS = 10.0
BOT_POLL_SECONDS = 25
