"""What people read: the report page, Data Docs, the status lines."""
