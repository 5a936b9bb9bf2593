"""What a stack is: who initializes, who waits, and how."""
