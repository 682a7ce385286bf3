"""What people read of a trace, as text, JSON and CSV. Turns values into words and columns; opens and prints nothing."""
