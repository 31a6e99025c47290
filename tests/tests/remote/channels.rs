//! Functions with channels.

use flame_aws::{Receiver, Sender, channel, remote};

#[remote]
async fn sums(mut numbers: Receiver<u32>, sums: Sender<u32>) -> anyhow::Result<u32> {
    let mut sum = 0;
    while let Some(number) = numbers.recv().await? {
        sum += number;
        sums.send(sum).await?;
    }
    Ok(sum)
}

#[tokio::test]
async fn a_function_with_channels_runs_in_this_process_as_on_a_runner() {
    let (numbers, receiver) = channel(4);
    let (sender, mut all) = channel(4);
    let work = tokio::spawn(sums(receiver, sender));
    for number in [1, 2, 3] {
        numbers.send(number).await.unwrap();
    }
    drop(numbers);
    assert_eq!(work.await.unwrap().unwrap(), 6);
    let mut received = Vec::new();
    while let Some(sum) = all.recv().await.unwrap() {
        received.push(sum);
    }
    assert_eq!(received, [1, 3, 6]);
}
