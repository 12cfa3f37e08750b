"""The op book: one page for every op, loss and layer of minidl, made from the source."""
