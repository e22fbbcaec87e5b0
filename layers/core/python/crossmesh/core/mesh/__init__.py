"""The topology in, what each mesh backend must change out; traffic shifts and what they promise."""
