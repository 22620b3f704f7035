"""Values as HTML; every text of a user is escaped."""
