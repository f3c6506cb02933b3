"""What a part of the toolkit costs on this machine, beside a plain implementation of the same arithmetic."""
