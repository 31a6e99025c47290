import { App } from 'aws-cdk-lib';
import { LambdaParentStack } from './stack';

new LambdaParentStack(new App(), 'FlameLambdaParent');
