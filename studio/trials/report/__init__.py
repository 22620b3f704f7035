"""What a trial says, to be looked at and given away: one sheet, and the card of the one chosen."""
