"""What a run leaves behind: typed records, the store that keeps them, statistics over them."""
