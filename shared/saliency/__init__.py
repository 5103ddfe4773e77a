"""Attribution methods under one calling convention, their files and their quality metrics."""
