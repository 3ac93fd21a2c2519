"""Where the bytes of uploaded files lie: a folder of this machine, or a bucket of S3's kind."""
