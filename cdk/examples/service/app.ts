import { App } from 'aws-cdk-lib';
import { ServiceStack } from './stack';

new ServiceStack(new App(), 'FlameService');
