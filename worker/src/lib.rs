//! The bot: holds items in a browser until they end and stores what they leave.
