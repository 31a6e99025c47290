"""An AWS emulator in which containers and functions are real processes of this machine.

MiniStack implements the AWS API. This package is a thin layer around MiniStack. It replaces the
parts that tests of runners need to be closer to AWS:

    __main__    starts the emulator and shuts it down
    gateway     handles every request first: control paths, faults, counts; then calls MiniStack
    protocols   names the operation of a request, and encodes errors for each AWS protocol
    faults      errors, delays and resets that a test asks for
    ecs         RunTask, StopTask, DescribeTasks, ListTasks
    fargate     the task sizes that Fargate offers
    tasks       the life cycle of a task
    metadata    the task metadata endpoint
    functions   Lambda invocations: warm environments, logs, retries of events
    environment one execution environment: a process that polls for events
    runtime_api the Lambda runtime API of one environment
    cloudformation  types of resources that MiniStack lacks
    load_balancers  network load balancers that listen and forward connections
    ports       ports of containers behind load balancers
    cloudwatch  writes log lines to CloudWatch Logs
    processes   a child process in its own session, and its output
    reaper      kills the remaining processes when the emulator is killed
    images      the table of images, which maps image names to local programs
    ministack   every name of MiniStack that this package uses, checked at the start
"""
