"""The alignment methods that ship with auralign, reached by their entry points only; one page each."""
