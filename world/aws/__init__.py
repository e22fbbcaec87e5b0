"""AWS as the world has it: the models of what AWS does, the server that speaks AWS's protocols over them, and ministack's host."""
