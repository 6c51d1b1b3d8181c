"""What commands share: tables, progress, words."""
