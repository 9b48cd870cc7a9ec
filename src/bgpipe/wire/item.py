"""What travels through a pipeline: a message, or a block of messages."""

from __future__ import annotations

from .block import Block
from .message import Message

Item = Message | Block
