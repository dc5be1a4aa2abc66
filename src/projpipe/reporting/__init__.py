"""What people see: figures, the closing table and the HTML report."""
