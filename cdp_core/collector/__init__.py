"""The HTTP tracking API: what clients of Segment and RudderStack send, received and made durable."""
