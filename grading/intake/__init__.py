"""What comes in from students: collected, admitted, rebuilt."""
