"""Tables scored and published: the SDK and the commands of the part bulk."""
