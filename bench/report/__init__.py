"""What reviewers read: rows, tables and provenance, made from scores and never computing one."""
