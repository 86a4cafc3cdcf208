"""The official SDKs by the dialect that they speak."""

from client_anthropic import Messages
from client_genai import Gemini
from client_openai import Chat, Responses
from conversation import Conversation

CLIENTS: dict[str, type[Conversation]] = {client.dialect: client for client in (Chat, Responses, Messages, Gemini)}
