"""The application: what the page, the command line and the API can do."""
