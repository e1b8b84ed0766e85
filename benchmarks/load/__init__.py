"""Makes load: users, pictures, questions, and the measuring client."""
