"""Operations written for speed: the only place that asks for the backend."""
