"""HTTP/1.1 as one client of one API needs it: POSTs without a body, over connections that are kept."""
