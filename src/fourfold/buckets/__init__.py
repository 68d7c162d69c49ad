"""Read and write buckets: S3, Google Cloud Storage, Azure; and `memory`, a bucket in this process.

The client of a bucket on the network (obstore) runs in a process of its own, because it takes memory for what a server
announces, and dies where there is none: see docs/decisions/0011. That process imports this package, so nothing is
imported here: it starts in the time that its imports take.

- `opening`: from a URL to a bucket
- `contract`: the three operations, their errors, and how an answer is read
- `settings`: the kinds of buckets, and how long the client waits
- `causes`: what an error of obstore says, in a line and without secrets
- `client`: the operations with obstore, in the process that calls them
- `remote`: the operations with obstore in a process of its own, which `process` is; `frames` is what the two exchange
"""
