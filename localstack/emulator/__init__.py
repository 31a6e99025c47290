"""An AWS emulator whose containers and functions are real processes of this machine.

MiniStack answers the API of AWS. This package is a thin layer around it, and replaces what has to
be close to AWS for tests of runners:

    __main__    start, and end with whoever started it
    gateway     every request passes here: control, faults, counts, then MiniStack
    protocols   names of operations, and errors in the shape of each protocol
    faults      answers, delays and cuts that tests ask for
    ecs         RunTask, StopTask, DescribeTasks, ListTasks: what AWS refuses, what it gives back
    fargate     sizes that Fargate has
    tasks       the life of a task
    metadata    what a container reads about itself
    lambdas     invocations: environments kept warm, logs, retries of events
    environment one execution environment: a process that asks for events
    runtime_api the HTTP side of it
    cloudwatch  lines of logs, put to CloudWatch Logs
    processes   a child process with a session of its own, and what it prints
    keeper      kills what is left when this process is killed
    images      the table of images: names of local programs
    seams       every name of MiniStack that is used here, checked at start
"""
