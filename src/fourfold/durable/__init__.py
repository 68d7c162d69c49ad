"""Keep what must survive a crash or a power cut: files now, SQLite later."""
